// Imports the package from an ECMAScript module.
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { KarinQueue } from 'karin-queue';

const stack = new Stack(new App(), 'Stack');
new KarinQueue(stack, 'Jobs', { endpoint: 'https://karin.example.com' });
Template.fromStack(stack).resourceCountIs('AWS::SQS::Queue', 1);
process.stdout.write('imported from an ECMAScript module\n');
