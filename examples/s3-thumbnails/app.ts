import { App } from 'aws-cdk-lib';
import { UploadsStack } from './uploads-stack';

const app = new App();
new UploadsStack(app, 'Uploads');
