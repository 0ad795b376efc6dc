import aws_cdk as cdk

from jobs_stack import JobsStack

app = cdk.App()
JobsStack(app, "JobsApp")
app.synth()
