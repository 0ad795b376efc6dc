package example;

import software.amazon.awscdk.App;

public final class JobsApp {
    public static void main(final String[] args) {
        final App app = new App();
        new JobsStack(app, "JobsApp");
        app.synth();
    }
}
