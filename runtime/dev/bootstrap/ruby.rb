# Runs a Ruby handler through the Lambda Runtime API, as AWS's own runtime interface client does.
#
# Started by the local Lambda in a process of its own; everything it knows stands in the environment. Standard library
# only, because it shares its process with the user's code.

require 'json'
require 'net/http'

$stdout.sync = true
$stderr.sync = true

HOST, PORT = ENV.fetch('AWS_LAMBDA_RUNTIME_API').split(':')

# One call to the Runtime API. If it cannot be reached, nobody waits for this process any more.
def call(method, path, body = nil, headers = {})
  Net::HTTP.start(HOST, PORT.to_i, nil, read_timeout: nil) do |http|
    http.send_request(method, "/2018-06-01/runtime/#{path}", body, headers)
  end
rescue SystemCallError, IOError
  exit!(1)
end

# What handlers receive as `context`.
class LambdaContext
  attr_reader :aws_request_id, :invoked_function_arn, :function_name, :function_version, :memory_limit_in_mb,
              :log_group_name, :log_stream_name, :deadline_ms, :tenant_id, :client_context, :identity

  def initialize(headers)
    @aws_request_id = headers['lambda-runtime-aws-request-id']
    @invoked_function_arn = headers['lambda-runtime-invoked-function-arn']
    @deadline_ms = headers['lambda-runtime-deadline-ms'].to_i
    @tenant_id = headers['lambda-runtime-aws-tenant-id']
    @client_context = headers['lambda-runtime-client-context']&.then { |text| JSON.parse(text) }
    @function_name = ENV['AWS_LAMBDA_FUNCTION_NAME']
    @function_version = ENV['AWS_LAMBDA_FUNCTION_VERSION']
    @memory_limit_in_mb = ENV['AWS_LAMBDA_FUNCTION_MEMORY_SIZE']
    @log_group_name = ENV['AWS_LAMBDA_LOG_GROUP_NAME']
    @log_stream_name = ENV['AWS_LAMBDA_LOG_STREAM_NAME']
  end

  def get_remaining_time_in_millis
    [0, @deadline_ms - (Time.now.to_f * 1000).to_i].max
  end
end

def post_error(path, error, type = "Function<#{error.class}>")
  failure = { errorMessage: error.message, errorType: type, stackTrace: error.backtrace || [] }
  headers = { 'content-type' => 'application/json', 'lambda-runtime-function-error-type' => failure[:errorType] }
  call('POST', path, JSON.generate(failure), headers)
end

# `folder/file.method`, or `file.Module::Class.method`.
def load_handler
  folder, name = File.split(ENV.fetch('_HANDLER'))
  file, *owner, method = name.split('.')
  require File.join(ENV.fetch('LAMBDA_TASK_ROOT'), folder, file)
  # `method` also reaches what a plain file defines, which is private to the main object.
  (owner.empty? ? self : Object.const_get(owner.join('.'))).method(method)
end

begin
  handler = load_handler
rescue LoadError => e
  post_error('init/error', e, 'Init<LoadError>')
  exit!(1)
rescue ScriptError, StandardError => e
  post_error('init/error', e, "Init<#{e.class}>")
  exit!(1)
end

loop do
  invocation = call('GET', 'invocation/next')
  id = invocation['lambda-runtime-aws-request-id']
  ENV['_X_AMZN_TRACE_ID'] = invocation['lambda-runtime-trace-id']
  begin
    result = handler.call(event: JSON.parse(invocation.body), context: LambdaContext.new(invocation))
    call('POST', "invocation/#{id}/response", JSON.generate(result))
  rescue ScriptError, StandardError => e
    post_error("invocation/#{id}/error", e)
  end
end
