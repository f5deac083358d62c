"""An S3 server with one bucket, that checks signatures and does one write at a time.

Says its port and the keys of its one user as a line of JSON, and ends when its standard input does.
"""

import json
import logging
import os
import sys
import threading

# After the four calls below, only who signs with the user's keys is served.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "4"

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)
answer = DomainDispatcherApplication(create_backend_app)
turn = threading.Lock()


def serve(environ, start_response):
    """Between the condition of a write and the write nothing else is written, as on S3."""
    if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return answer(environ, start_response)
    with turn:
        return answer(environ, start_response)


server = make_server("127.0.0.1", 0, serve, threaded=True)
port = server.server_port
threading.Thread(target=server.serve_forever, daemon=True).start()


def service(name):
    return boto3.client(
        name,
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="anybody",
        aws_secret_access_key="anybody",
    )


iam = service("iam")
iam.create_user(UserName="hansard")
keys = iam.create_access_key(UserName="hansard")["AccessKey"]
allowed = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
iam.put_user_policy(UserName="hansard", PolicyName="hansard", PolicyDocument=policy)
service("s3").create_bucket(Bucket="hansard")
print(json.dumps({"port": port, "id": keys["AccessKeyId"], "secret": keys["SecretAccessKey"]}))
sys.stdout.flush()
sys.stdin.read()
