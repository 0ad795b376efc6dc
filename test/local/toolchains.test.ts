import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unusable } from '../../runtime/dev/bundle.ts';
import type { TemplateFunction } from '../../runtime/dev/template/model.ts';
import { ScratchLambda } from './scratch-lambda.ts';

/** Compilers take their time where several suites share two cores. */
const PATIENCE_MS = 300_000;

const CLIENT = 'aws-lambda-java-runtime-interface-client';

describe('a function that a toolchain of this machine runs', { timeout: PATIENCE_MS }, () => {
  let scratch: ScratchLambda;

  beforeEach(() => {
    scratch = new ScratchLambda();
  });
  afterEach(async () => {
    await scratch.stop();
  });

  /** Runs one event, and one that fails. `define`: only what makes it different. */
  const expectToRun = async (define: Partial<TemplateFunction>, error: string): Promise<void> => {
    const fn = scratch.define({ memoryMegabytes: 256, timeoutSeconds: 60, ...define });
    expect(unusable(fn)).toBeUndefined();
    await scratch.start();
    scratch.apply([fn]);
    expect((await scratch.invoke('fn', { word: 'well' })).value).toEqual({ name: 'fn', word: 'well' });
    const failed = await scratch.invoke('fn', { fail: true });
    expect(failed.answer.FunctionError).toBe('Unhandled');
    expect(failed.value).toMatchObject({ errorType: error, errorMessage: expect.stringContaining('as asked') });
    expect((await scratch.invoke('fn', { word: 'again' })).value).toEqual({ name: 'fn', word: 'again' });
    await scratch.printed('[fn] got well');
  };

  it('is Go, built from its sources, and built again when they change', async () => {
    scratch.write('go.mod', 'module shop\n\ngo 1.18\n');
    const main = (word: string): string => GO_MAIN.replace('"got"', `"${word}"`);
    scratch.write('main.go', main('got'));
    const go = { runtime: 'provided.al2023', handler: 'bootstrap' };
    if (unusable(scratch.define(go)) !== undefined) {
      expect(unusable(scratch.define(go))).toContain('there is no go on the PATH; install Go');
      return;
    }
    await expectToRun(go, 'errorString');
    expect(existsSync(join(scratch.folder, 'bootstrap'))).toBe(false);
    const path = scratch.write('main.go', main('now got'));
    await scratch.lambda.changed([path]);
    await scratch.invoke('fn', { word: 'better' });
    await scratch.printed('[fn] now got better');
    scratch.write('main.go', 'package main\n\nfunc main() { mistake }\n');
    expect(await scratch.lambda.changed([path])).toEqual([
      { name: 'fn', became: { failure: expect.stringMatching(/'go build' failed.*main\.go:3:\d+: undefined/s) } },
    ]);
    await scratch.invoke('fn', { word: 'as before' });
    await scratch.printed('[fn] now got as before');
  });

  it('is Rust, built from its sources, by the program that the template names where there are several', async () => {
    scratch.write('Cargo.toml', '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n');
    scratch.write('src/bin/other.rs', 'fn main() {}\n');
    scratch.write('src/bin/worker.rs', RUST_MAIN);
    const rust = { runtime: 'provided.al2023', handler: 'bootstrap' };
    if (unusable(scratch.define(rust)) !== undefined) {
      expect(unusable(scratch.define(rust))).toContain('there is no cargo on the PATH; install Rust');
      return;
    }
    await expectToRun({ ...rust, cargoBinary: 'worker' }, 'Refusal');
    scratch.apply([scratch.define(rust)]);
    const { value } = await scratch.invoke('fn');
    expect(value).toMatchObject({ errorMessage: expect.stringContaining('makes several programs; name that of') });
  });

  it('is Ruby, with a plain method or one of a class', async () => {
    scratch.write('lib/helper.rb', 'WORD = "got"\n');
    scratch.write(
      'jobs/work.rb',
      `require 'lib/helper'
       module Shop
         class Worker
           def self.process(event:, context:)
             raise ArgumentError, 'as asked' if event['fail']
             puts "#{WORD} #{event['word']}"
             { name: context.function_name, word: event['word'] }
           end
         end
       end
       def plain(event:, context:) = context.get_remaining_time_in_millis.positive?
      `,
    );
    const ruby = { runtime: 'ruby3.4', handler: 'jobs/work.Shop::Worker.process' };
    if (unusable(scratch.define(ruby)) !== undefined) {
      expect(unusable(scratch.define(ruby))).toContain('there is no ruby on the PATH; install Ruby');
      return;
    }
    await expectToRun(ruby, 'Function<ArgumentError>');
    scratch.apply([scratch.define({ ...ruby, handler: 'jobs/work.plain' })]);
    expect((await scratch.invoke('fn')).value).toBe(true);
    scratch.apply([scratch.define({ ...ruby, handler: 'jobs/work.nothing' })]);
    expect((await scratch.invoke('fn')).value).toMatchObject({ errorType: 'Init<NameError>' });
  });

  it('is .NET, if its assembly is a program', async () => {
    const dotnet = scratch.define({ runtime: 'dotnet8', handler: 'Shop' });
    const programs = join(scratch.folder, 'bin');
    mkdirSync(programs);
    expect(unusable(dotnet, programs)).toContain('there is no dotnet on the PATH; install the .NET SDK');
    scratch.write('bin/dotnet', '#!/bin/sh\n', 0o755);
    expect(unusable(dotnet, programs)).toMatch(/no Shop\.dll in .*: build it with 'dotnet publish -c Release'/);
    scratch.write('Shop.dll', '');
    expect(unusable(dotnet, programs)).toBeUndefined();
    const library = scratch.define({ runtime: 'dotnet8', handler: 'Shop::Shop.Worker::Handle' });
    expect(unusable(library, programs)).toMatch(/a method of a library, .* LambdaBootstrapBuilder \(Handler: Shop\)/);
  });

  it('says what a machine lacks, with the command that mends it', () => {
    const nowhere = '/nowhere';
    const define = (runtime: string, handler = 'bootstrap'): TemplateFunction => scratch.define({ runtime, handler });
    expect(unusable(define('java21', 'shop.Worker'), nowhere)).toContain('there is no java on the PATH');
    expect(unusable(define('ruby3.4', 'work.handler'), nowhere)).toContain('there is no ruby on the PATH');
    scratch.write('go.mod', 'module shop\n');
    scratch.write('main.go', 'package main\n');
    expect(unusable(define('provided.al2023'), nowhere)).toContain("'GOOS=linux go build -o bootstrap .'");
    scratch.write('bootstrap', '#!/bin/sh\n', 0o755);
    expect(unusable(define('provided.al2023'), nowhere)).toBeUndefined();
    scratch.write('programs/java', '#!/bin/sh\n', 0o755);
    expect(unusable(define('java21', 'shop.Worker'), join(scratch.folder, 'programs'))).toMatch(
      /there is no class shop\.Worker in .*: build it with 'sam build'/,
    );
    const code = { kind: 'inline', text: '' } as const;
    expect(unusable(scratch.define({ runtime: 'ruby3.4', code }))).toContain('for nodejs* and python* only');
  });

  it('names the client for Java and the command that gets it, where neither artifact nor repository has it', async () => {
    const lib = join(scratch.folder, 'lib');
    mkdirSync(lib);
    scratch.write('lib/shop.jar', '');
    await scratch.start({ environment: { PATH: process.env['PATH'], HOME: scratch.folder } });
    scratch.apply([scratch.define({ runtime: 'java21', handler: 'shop.Worker' })]);
    const { value } = await scratch.invoke('fn');
    expect(value).toMatchObject({
      errorMessage: expect.stringContaining(`mvn dependency:get -Dartifact=com.amazonaws:${CLIENT}:LATEST`),
    });
  });
});

/** A program that speaks to the Runtime API with the standard library alone, as every test of this kind does. */
const GO_MAIN = `package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
)

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		next, err := http.Get(api + "next")
		if err != nil {
			os.Exit(1)
		}
		var event map[string]any
		json.NewDecoder(next.Body).Decode(&event)
		id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		if event["fail"] != nil {
			http.Post(api+id+"/error", "application/json", strings.NewReader(\`{"errorType":"errorString","errorMessage":"as asked"}\`))
			continue
		}
		fmt.Println("got", event["word"])
		body, _ := json.Marshal(map[string]any{"name": os.Getenv("AWS_LAMBDA_FUNCTION_NAME"), "word": event["word"]})
		http.Post(api+id+"/response", "application/json", strings.NewReader(string(body)))
	}
}
`;

const RUST_MAIN = `use std::env::var;
use std::io::{Read, Write};
use std::net::TcpStream;

fn call(head: &str, body: &str) -> String {
    let api = var("AWS_LAMBDA_RUNTIME_API").unwrap();
    let mut stream = TcpStream::connect(&api).unwrap_or_else(|_| std::process::exit(1));
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\\r\\nHost: {api}\\r\\nConnection: close\\r\\nContent-Length: {length}\\r\\n\\r\\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap_or(0);
    text
}

fn main() {
    loop {
        let next = call("GET /2018-06-01/runtime/invocation/next", "");
        let mark = "lambda-runtime-aws-request-id: ";
        let at = next.to_lowercase().find(mark).unwrap_or_else(|| std::process::exit(1)) + mark.len();
        let id = &next[at..at + next[at..].find('\\r').unwrap()];
        let path = format!("POST /2018-06-01/runtime/invocation/{id}");
        if next.contains("fail") {
            call(&format!("{path}/error"), r#"{"errorType":"Refusal","errorMessage":"as asked"}"#);
            continue;
        }
        let rest = next.split("\\"word\\":\\"").nth(1).unwrap();
        let word = &rest[..rest.find('"').unwrap()];
        println!("got {word}");
        let name = var("AWS_LAMBDA_FUNCTION_NAME").unwrap();
        call(&format!("{path}/response"), &format!(r#"{{"name":"{name}","word":"{word}"}}"#));
    }
}
`;
