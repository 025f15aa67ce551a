"""The operator's verbs on a cluster of real processes: who leads, who votes, who may join."""
import json
import re
import stat

from harness import Writers, on_every_manager, wait_until

TRANSFERRED_WITHIN = 1.0  # Seconds without an acknowledged write, at worst: far below an election's.


def operate(lab, manager, *words, fails=False):
    """Run `cais WORDS --dir …` beside a manager: what it printed, or its complaint."""
    done = lab.verb(*words, "--dir", lab.directory / manager)
    assert (done.returncode != 0) == fails, f"{words}: {done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


def listed(lab, manager):
    found = json.loads(operate(lab, manager, "managers", "list", "--json"))
    return found["leader"], {m["name"]: m for m in found["managers"]}


def test_every_manager_lists_what_the_leader_knows(lab):
    leader = lab.leader()
    for name in lab.managers():
        told, managers = listed(lab, name)
        assert told == leader
        assert [m["role"] for m in managers.values()] == ["voter"] * 3
        assert [n for n, m in managers.items() if m["leader"]] == [leader]
        assert all(m["silentMs"] < 2000 for m in managers.values())
    socket = (lab.directory / leader / "operator.sock").stat()
    assert stat.S_ISSOCK(socket.st_mode) and stat.S_IMODE(socket.st_mode) == 0o600


def test_leadership_moves_under_load_and_no_write_fails(lab):
    before = lab.identities(lab.web(6))
    with Writers(lab, prefix="moved") as writers:
        writers.wait_for(40)
        for turn in range(6):
            leader = lab.leader()
            to = lab.followers()[0]
            asked = leader if turn % 2 else to
            said = operate(lab, asked, "managers", "transfer", to)
            assert said == f"{to} leads\n"
            writers.wait_for(40)
    assert writers.errors == []
    assert writers.missing == []
    assert writers.longest_pause() < TRANSFERRED_WITHIN
    assert lab.identities(lab.wait_serving(6)) == before
    on_every_manager(lab, writers.acknowledged)


def test_a_voter_steps_back_and_comes_again(lab):
    leader = lab.leader()
    one, other = lab.followers()
    assert operate(lab, other, "managers", "demote", one) == f"{one} is a stand-by\n"
    # Three voters are wanted, and it lacks nothing: the leader itself makes it vote again, if we do not.
    wait_until("it votes", lambda: listed(lab, leader)[1][one]["role"] == "voter", 20)
    assert operate(lab, one, "managers", "promote", one) == f"{one} votes\n"


def test_tokens_are_made_told_once_rotated_and_revoked(lab):
    one, other = lab.followers()
    texts = [operate(lab, one, "token", "create", "manager").strip() for _ in range(2)]
    for text in texts:
        assert re.fullmatch(r"CAIS1-manager-[0-9a-f]{64}-[0-9a-f]{8}-[0-9a-f]{32}", text)
    ids = [text.split("-")[3] for text in texts]
    secret = texts[0].split("-")[4]
    told = operate(lab, other, "token", "list", "--json")
    assert secret not in told
    status = {t["id"]: t["status"] for t in json.loads(told)["tokens"]}  # The bootstrap's own among them.
    assert [status[i] for i in ids] == ["ACTIVE", "ACTIVE"]
    assert operate(lab, other, "token", "revoke", ids[0]) == f"{ids[0]} is revoked\n"
    new = json.loads(operate(lab, other, "token", "rotate", "manager", "--ttl", "2h", "--json"))["description"]
    assert round(new["expiresAt"] - new["createdAt"]) == 7200
    tokens = {t["id"]: t["status"] for t in json.loads(operate(lab, one, "token", "list", "--json"))["tokens"]}
    assert tokens == {**dict.fromkeys(status, "REVOKED"), new["id"]: "ACTIVE"}
    for name in lab.managers():
        kept = b"".join(p.read_bytes() for p in (lab.directory / name).rglob("data.mdb"))
        assert secret.encode() not in kept and bytes.fromhex(secret) not in kept
    assert "There is no token 00000000" in operate(lab, one, "token", "revoke", "00000000", fails=True)


def test_what_is_wrong_is_said(lab):
    leader = lab.leader()
    said = operate(lab, leader, "managers", "remove", "m9", fails=True)
    assert all(word in said for word in ('there is no manager "m9"', "m1", "m2", "m3"))
    for words in (("managers", "remove"), ("managers", "list", "x"), ("token", "create"),
                  ("token", "create", "manager", "--ttl", "5x"), ("managers", "fly"), ("token",)):
        assert lab.verb(*words).returncode == 2, words
    none = lab.verb("managers", "list", "--dir", lab.directory / "no-such")
    assert none.returncode == 1 and "no manager runs there" in none.stderr


def test_the_majority_is_guarded_and_force_is_force(lab):
    leader = lab.leader()
    gone, kept = lab.followers()
    lab.cais("kill", gone)
    wait_until("it is missed", lambda: listed(lab, leader)[1][gone]["silentMs"] > 2000, 10)
    said = operate(lab, leader, "managers", "remove", kept, fails=True)
    assert f"removing {kept} would leave 1 of 2 voters reachable, fewer than a majority" in said
    assert "it could not take over" in operate(lab, leader, "managers", "transfer", gone, fails=True)
    assert operate(lab, kept, "managers", "remove", gone) == f"{gone} is removed\n"
    assert sorted(listed(lab, kept)[1]) == sorted([leader, kept])
    with Writers(lab, prefix="two") as writers:
        writers.wait_for(20)
    assert operate(lab, leader, "managers", "remove", kept, "--force") == f"{kept} is removed\n"
    assert list(listed(lab, leader)[1]) == [leader]
