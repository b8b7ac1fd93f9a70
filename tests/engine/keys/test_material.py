"""Keys in memory: lent, overwritten, and never overwritten under somebody's hands."""

import subprocess
import sys
import threading

import pytest

from engine.keys.material import KeyWiped, SecretKey, overwrite


def test_a_wiped_key_is_zero_and_refuses_use() -> None:
    material = bytearray(b"k" * 32)
    key = SecretKey(material)
    with key.use() as lent:
        assert lent == b"k" * 32
    key.wipe()
    assert material == bytes(32)
    with pytest.raises(KeyWiped), key.use():
        pass


def test_a_wipe_waits_for_the_last_use() -> None:
    material = bytearray(b"k" * 32)
    key = SecretKey(material)
    with key.use() as outer:
        with key.use():
            threading.Thread(target=key.wipe).start()
        while "wiped" not in repr(key):
            pass
        assert outer == b"k" * 32
        with pytest.raises(KeyWiped), key.use():
            pass
    assert material == bytes(32)


def test_a_key_does_not_show_its_bytes() -> None:
    assert "k" * 4 not in repr(SecretKey(bytearray(b"k" * 32)))


def test_overwrite_works_in_place() -> None:
    material = bytearray(b"abc")
    alias = material
    overwrite(material)
    assert alias == bytes(3)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_process_can_give_up_core_dumps() -> None:
    program = (
        "import ctypes, resource\n"
        "from engine.keys.material import forbid_core_dumps\n"
        "libc = ctypes.CDLL(None)\n"
        "before = libc.prctl(3, 0, 0, 0, 0)\n"
        "forbid_core_dumps()\n"
        "print(before, libc.prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip().endswith("0 (0, 0)")


@pytest.mark.parametrize(
    "module",
    ["engine.keys.tree", "engine.keys.sealer", "engine.blobs.erasures", "engine.service_tokens"],
)
def test_keys_need_no_django_and_no_boto3(module: str) -> None:
    program = (
        f"import sys, {module}\nprint(sorted({{'django', 'boto3'}} & {{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == "[]"
