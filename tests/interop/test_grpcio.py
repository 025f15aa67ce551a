#!/usr/bin/env python3
"""Google's own gRPC client against our server: usage: test_grpcio.py PATH-OF-grpc_echo

Exits 77, with the reason, where python3-grpcio is missing.
"""
import subprocess
import sys
import unittest

try:
    import grpc
except ImportError as missing:
    print(f"skipped: python3-grpcio is missing ({missing})")
    sys.exit(77)

LIMIT = 4 << 20  # LIMIT_RPC_BYTES
FREE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


def as_is(message):
    return message


class Grpcio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.port = int(cls.server.stdout.readline())

    @classmethod
    def tearDownClass(cls):
        cls.server.stdin.close()
        cls.server.stdout.close()
        status = cls.server.wait(timeout=20)
        if status != 0:
            raise AssertionError(f"the server ended with {status}")

    def setUp(self):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}", options=FREE)
        self.addCleanup(self.channel.close)

    def method(self, name):
        return self.channel.unary_unary(
            "/test.Echo/" + name, request_serializer=as_is, response_deserializer=as_is)

    def refused(self, name, message, status, timeout=10, **more):
        with self.assertRaises(grpc.RpcError) as caught:
            self.method(name)(message, timeout=timeout, **more)
        self.assertEqual(caught.exception.code(), status, caught.exception.details())
        return caught.exception.details()

    def test_echo(self):
        for message in (b"", b"hello", bytes(range(256)) * 400):
            self.assertEqual(self.method("Echo")(message, timeout=10), message)

    def test_the_largest_message(self):
        message = b"x" * LIMIT
        self.assertEqual(self.method("Echo")(message, timeout=20), message)

    def test_a_message_too_large_either_way(self):
        self.assertIn("too large", self.refused("Echo", b"x" * (LIMIT + 1), grpc.StatusCode.RESOURCE_EXHAUSTED))
        self.refused("Echo", b"x" * (64 << 20), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.refused("Size", str(LIMIT + 1).encode(), grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertEqual(self.method("Echo")(b"still here", timeout=10), b"still here")

    def test_a_refusal_and_its_text(self):
        details = self.refused("Fail", "100 % naïve\n".encode(), grpc.StatusCode.FAILED_PRECONDITION)
        self.assertEqual(details, "100 % naïve\n")

    def test_an_unknown_method(self):
        self.refused("Nothing", b"x", grpc.StatusCode.UNIMPLEMENTED)

    def test_a_deadline(self):
        self.refused("Hold", b"x", grpc.StatusCode.DEADLINE_EXCEEDED, timeout=0.2)
        self.assertEqual(self.method("Echo")(b"next", timeout=10), b"next")

    def test_a_compressed_message(self):
        self.refused("Echo", b"x" * 10000, grpc.StatusCode.UNIMPLEMENTED, compression=grpc.Compression.Gzip)

    def test_too_many_header_fields(self):
        # grpcio keeps to the limit we announce and refuses by itself; either way the call fails alone.
        metadata = [(f"key{i}", "v" * 1000) for i in range(20)]
        self.refused("Echo", b"x", grpc.StatusCode.RESOURCE_EXHAUSTED, metadata=metadata)
        self.assertEqual(self.method("Echo")(b"next", timeout=10), b"next")

    def test_a_stream_of_messages_is_no_unary_call(self):
        stream = self.channel.stream_unary(
            "/test.Echo/Echo", request_serializer=as_is, response_deserializer=as_is)
        with self.assertRaises(grpc.RpcError) as caught:
            stream(iter([b"one", b"two"]), timeout=10)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)

    def test_many_calls_at_a_time(self):
        echo = self.method("Echo")
        calls = [echo.future(str(i).encode(), timeout=20) for i in range(300)]
        self.assertEqual([call.result() for call in calls], [str(i).encode() for i in range(300)])

    def test_a_cancelled_call_leaves_the_others(self):
        held = self.method("Hold").future(b"x", timeout=20)
        held.cancel()
        self.assertTrue(held.cancelled())
        self.assertEqual(self.method("Echo")(b"next", timeout=10), b"next")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=0)
