import { App } from 'aws-cdk-lib';
import { WebhooksStack } from './webhooks-stack';

const app = new App();
new WebhooksStack(app, 'Webhooks');
