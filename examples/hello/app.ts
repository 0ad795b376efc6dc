import { App } from 'aws-cdk-lib';
import { HelloStack } from './hello-stack';

const app = new App();
new HelloStack(app, 'Hello');
