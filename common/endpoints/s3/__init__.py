"""S3: users' places in a bucket, over a lean client of our own (boto3 brings configuration and
credentials)."""
