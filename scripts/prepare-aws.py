#!/usr/bin/env python3
"""Creates the bucket and the secret that `make run-lambda` uses, in moto's server.

usage: prepare-aws.py ENDPOINT BUCKET SECRET KEY
"""

import json
import sys

import boto3


def main():
    endpoint, bucket, secret, key = sys.argv[1:]
    # With explicit credentials, boto3 never looks for those of a real account.
    moto = {
        "endpoint_url": endpoint,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    boto3.client("s3", **moto).create_bucket(Bucket=bucket)
    boto3.client("secretsmanager", **moto).create_secret(
        Name=secret, SecretString=json.dumps({"CLERK_SECRET_KEY": key})
    )


if __name__ == "__main__":
    main()
