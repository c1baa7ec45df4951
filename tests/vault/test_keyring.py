"""A key's form, its checksum against zlib's, its hash against hashlib's."""

import hashlib
import re
import zlib

import pytest

from course_lib.vault import keyring


def test_a_key_names_its_class_and_is_made_of_22_letters_and_a_checksum():
    token = keyring.new_token("autumn-2026")
    assert re.fullmatch(r"vk_autumn-2026_[0-9A-Za-z]{22}_[0-9A-Za-z]{6}", token)
    assert keyring.parse(token) == "autumn-2026"


def test_no_two_keys_are_alike():
    assert len({keyring.new_token("a") for _ in range(1000)}) == 1000


def test_the_checksum_is_the_crc32_in_base_62():
    digits = [keyring.ALPHABET.index(c) for c in keyring.checksum("vk_a_body")]
    assert sum(d * 62 ** (5 - i) for i, d in enumerate(digits)) == zlib.crc32(b"vk_a_body")


def test_every_single_slip_is_found():
    token = keyring.new_token("a")
    for i in range(len(token)):
        other = token[:i] + ("x" if token[i] != "x" else "y") + token[i + 1 :]
        with pytest.raises(ValueError, match="a key looks like|a slip in it"):
            keyring.parse(other)


@pytest.mark.parametrize("text", ["", "vk_", None, 7, b"vk_a", "sk-abc", "vk_A_" + "a" * 22 + "_000000", "x" * 10_000])
def test_what_is_no_key_is_said_to_be_none(text):
    with pytest.raises(ValueError, match="a key looks like vk_<class>"):
        keyring.parse(text)


@pytest.mark.parametrize("name", ["", "Autumn", "a_b", "a" * 33, "ä"])
def test_a_class_name_that_could_not_stand_in_a_key_is_refused(name):
    with pytest.raises(ValueError, match="a class is called by"):
        keyring.new_token(name)


def test_what_is_kept_is_sha256_and_compared_whole():
    assert keyring.hashed("vk_a") == hashlib.sha256(b"vk_a").digest()
    assert keyring.same(b"abc", b"abc") and not keyring.same(b"abc", b"abd") and not keyring.same(b"abc", b"ab")
