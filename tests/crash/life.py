"""One manager of a cluster of its own, from its start until it has stopped: what is let fail or recorded in it."""
import http.client
import json
import os
import signal
import subprocess
import time

HEADERS = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Date": "20260101T000000Z",
           "Authorization": "AWS4-HMAC-SHA256 Credential=lab/20260101/us-east-1/ecs/aws4_request, "
                            "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64}
API_PORT = 4510
CALL_S = 5
LIFE_S = 20


class Wrong(Exception):
    """What a manager must not do, in words."""


def call(host, action, **request):
    """The status, None without an answer, and what was answered."""
    connection = http.client.HTTPConnection(host, API_PORT, timeout=CALL_S)
    try:
        connection.request("POST", "/", json.dumps(request),
                           {**HEADERS, "X-Amz-Target": "AmazonEC2ContainerServiceV20141113." + action})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"{}")
    except (OSError, http.client.HTTPException, ValueError):
        return None, {}
    finally:
        connection.close()


class Life:
    """One manager from its start to its end: status, what it said, and whether it acknowledged a write."""

    def __init__(self, build, directory, host, env=None):
        self.host = host
        self.acknowledged = False
        said = directory.parent / "said"
        with open(said, "wb") as out:
            self.process = subprocess.Popen(
                [build.resolve() / "cais", "manager", "--dir", directory, "--name", "one", "--zone", "a",
                 "--bootstrap", "--bind", host], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})})
        try:
            self.serve()
        finally:
            self.end()
            self.said = said.read_text(errors="replace")

    def ask(self, action, what, **request):
        """What was answered with 200; None: it ended before."""
        until = time.monotonic() + LIFE_S
        while self.process.poll() is None:
            status, answer = call(self.host, action, **request)
            if status == 200:
                return answer
            if time.monotonic() > until:
                raise Wrong(what)
            time.sleep(0.005)
        return None

    def serve(self):
        self.acknowledged = self.ask("CreateCluster", "it neither serves nor ends", clusterName="one") is not None
        answer = self.ask("DescribeClusters", "it does not go on", clusters=["one"])
        if self.acknowledged and answer and not answer["clusters"]:
            raise Wrong("what it acknowledged is not to be seen")

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.status = self.process.wait(LIFE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Wrong("it does not stop") from None


class Again(Life):
    """The life after: what was acknowledged has to be there before anything is written."""

    def __init__(self, *words, expected):
        self.expected = expected
        super().__init__(*words)

    def serve(self):
        answer = self.ask("DescribeClusters", "what is left does not serve", clusters=["one"])
        if answer and self.expected and not answer["clusters"]:
            raise Wrong("what was acknowledged is lost")
        super().serve()
