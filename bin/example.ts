import { App } from 'aws-cdk-lib';
import { ExampleStack } from './example-stack';

const app = new App();
// Use a secret of your own with: npx cdk deploy -c karin:admin-secret=<name>
const adminSecretName: string | undefined = app.node.tryGetContext('karin:admin-secret');
new ExampleStack(app, 'KarinExample', adminSecretName === undefined ? {} : { adminSecretName });
