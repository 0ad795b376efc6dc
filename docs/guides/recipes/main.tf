terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "karin_url" {
  type    = string
  default = "https://karin.example.com"
}

data "aws_caller_identity" "here" {}

data "aws_secretsmanager_secret_version" "capability" {
  secret_id = "karin/capability"
}

locals {
  capability = data.aws_secretsmanager_secret_version.capability.secret_string
  jobs_path  = "in/${data.aws_caller_identity.here.account_id}/${aws_sqs_queue.jobs.name}"
  # With the capability in the path: SNS sends no header of our own.
  jobs_url = "${var.karin_url}/k/${local.capability}/${local.jobs_path}"
}

resource "aws_sqs_queue" "jobs" {
  name                       = "jobs"
  visibility_timeout_seconds = 60
}

# Of SQS itself: no mapping polls it, so it costs nothing while it is empty.
resource "aws_sqs_queue" "undelivered" {
  name                      = "undelivered"
  message_retention_seconds = 1209600
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["sns.amazonaws.com", "events.amazonaws.com"] }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.undelivered.arn
      Condition = { ArnEquals = { "aws:SourceArn" = [
        aws_sns_topic.orders.arn,
        aws_sns_topic.uploaded.arn,
        aws_cloudwatch_event_rule.order_placed.arn,
      ] } }
    }]
  })
}

# SNS
resource "aws_sns_topic" "orders" {
  name              = "orders"
  signature_version = 2
}

resource "aws_sns_topic_subscription" "orders_to_jobs" {
  topic_arn              = aws_sns_topic.orders.arn
  protocol               = "https"
  endpoint               = "${local.jobs_url}?topic=${aws_sns_topic.orders.arn}&raw=true"
  endpoint_auto_confirms = true
  filter_policy          = jsonencode({ kind = ["order", "refund"] })
  redrive_policy         = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
}

# EventBridge
resource "aws_cloudwatch_event_connection" "jobs" {
  name               = "karin-jobs"
  authorization_type = "API_KEY"
  auth_parameters {
    api_key {
      key   = "Authorization"
      value = "Bearer ${local.capability}"
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "jobs" {
  name                             = "karin-jobs"
  connection_arn                   = aws_cloudwatch_event_connection.jobs.arn
  http_method                      = "POST"
  invocation_endpoint              = "${var.karin_url}/${local.jobs_path}"
  invocation_rate_limit_per_second = 300
}

resource "aws_iam_role" "invoke_jobs" {
  name = "invoke-karin-jobs"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "events.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "invoke_jobs" {
  role = aws_iam_role.invoke_jobs.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.jobs.arn
    }]
  })
}

resource "aws_cloudwatch_event_rule" "order_placed" {
  name          = "order-placed"
  event_pattern = jsonencode({ source = ["shop"], detail-type = ["OrderPlaced"] })
}

resource "aws_cloudwatch_event_target" "jobs" {
  rule     = aws_cloudwatch_event_rule.order_placed.name
  arn      = aws_cloudwatch_event_api_destination.jobs.arn
  role_arn = aws_iam_role.invoke_jobs.arn
  http_target {
    query_string_parameters = { delay = "30" }
  }
  retry_policy {
    maximum_retry_attempts       = 185
    maximum_event_age_in_seconds = 86400
  }
  dead_letter_config {
    arn = aws_sqs_queue.undelivered.arn
  }
}

# S3
resource "aws_sns_topic" "uploaded" {
  name              = "uploaded"
  signature_version = 2
}

resource "aws_sns_topic_policy" "uploaded" {
  arn = aws_sns_topic.uploaded.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "s3.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.uploaded.arn
      Condition = {
        ArnLike      = { "aws:SourceArn" = aws_s3_bucket.uploads.arn }
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.here.account_id }
      }
    }]
  })
}

resource "aws_sns_topic_subscription" "uploaded_to_jobs" {
  topic_arn              = aws_sns_topic.uploaded.arn
  protocol               = "https"
  endpoint               = "${local.jobs_url}?topic=${aws_sns_topic.uploaded.arn}&raw=true"
  endpoint_auto_confirms = true
  redrive_policy         = jsonencode({ deadLetterTargetArn = aws_sqs_queue.undelivered.arn })
}

resource "aws_s3_bucket" "uploads" {
  bucket_prefix = "uploads-"
}

resource "aws_s3_bucket_notification" "uploads" {
  bucket = aws_s3_bucket.uploads.id
  topic {
    topic_arn = aws_sns_topic.uploaded.arn
    events    = ["s3:ObjectCreated:*"]
  }
  # S3 asks, when the notification is made, whether it may publish.
  depends_on = [aws_sns_topic_policy.uploaded]
}
