import { App } from 'aws-cdk-lib';
import { FanOutStack } from './fan-out-stack';

const app = new App();
new FanOutStack(app, 'FanOut');
