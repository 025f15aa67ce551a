"""The peer port speaks to managers of its cluster alone, and to newcomers that know the cluster."""
import re
import socket
import stat
import subprocess

import pytest

import managers

OTHER = "0123456789abcdef" * 4


@pytest.fixture
def cluster(tmp_path):
    made = managers.Managers(tmp_path)
    made.bootstrap()
    made.leader()
    made.join("m2", "b")
    made.wait_roles({"m1": "voter", "m2": "voter"})
    yield made
    made.end()


def s_client(cluster, *words):
    """What comes of `openssl s_client`: its status and all it says."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{cluster.host('m1')}:{cluster.port + 2}", "-ign_eof", *map(str, words)],
        input=b"\0\0\0\2hi", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    return done.stdout.decode(errors="replace")


def self_made(path, subject):
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
             "-keyout", path / "key.pem", "-out", path / "cert.pem", "-subj", subject]
    subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ["-cert", path / "cert.pem", "-key", path / "key.pem"]


def test_strangers_are_refused_at_the_handshake(cluster, tmp_path):
    assert "alert" in s_client(cluster)  # No protocol named.
    assert "certificate required" in s_client(cluster, "-alpn", "cais-peer/1")
    name = re.search(r"cluster=(\w+)", cluster.log("m1"))[1]
    own = self_made(tmp_path, f"/O={name}/OU=manager/CN={7:016x}")
    assert "alert" in s_client(cluster, "-alpn", "cais-peer/1", *own)
    assert "alert" in s_client(cluster, "-alpn", "cais-peer/1", "-tls1_2")
    assert cluster.log("m1").count("peer.refused") >= 3
    assert cluster.leader()


def test_plain_tcp_is_hung_up_on(cluster):
    with socket.create_connection((cluster.host("m1"), cluster.port + 2), timeout=10) as plain:
        plain.sendall(b"\0\0\0\2hi")
        said = b""
        while part := plain.recv(100):
            said += part
    assert len(said) < 16, "nothing but an alert, and the end"


def test_a_token_of_another_cluster_does_not_reach_ours(cluster):
    text = cluster.token_file().read_text().strip()
    fields = text.split("-")
    assert fields[2] != "0" * 64
    fields[2] = OTHER
    cluster.join("m3", "c", token=["--token", "-".join(fields)])
    assert cluster.wait_end("m3") != 0
    assert "join.refused" in cluster.log("m3")
    assert "member.added" not in cluster.log("m1").partition("name=m2")[2]


def test_the_identity_is_its_owners_alone_and_nobody_starts_without_it(cluster):
    identity = cluster.path / "m2" / "identity"
    assert {file.name for file in identity.iterdir()} == {"ca.pem", "cert.pem", "key.pem"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in identity.iterdir()} == {0o600}
    assert not (cluster.path / "m1" / "identity" / "authority.pem").exists()
    cluster.kill("m2")
    (identity / "cert.pem").unlink()
    cluster.again("m2")
    assert cluster.wait_end("m2") != 0
    assert "identity lacks a file" in cluster.log("m2")
