import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carryout.keyring import KEY_ID_BYTES, MAC_BYTES, Keyring, SealBroken

OLD = "an old secret of ours"
NEW = "a new secret of ours"


def test_the_first_key_signs_and_all_verify() -> None:
    old, both = Keyring([OLD]), Keyring([NEW, OLD])

    assert len(old.sign(b"m")) == MAC_BYTES
    assert both.is_signed(b"m", old.sign(b"m"))
    assert both.sign(b"m") == Keyring([NEW]).sign(b"m")
    assert not old.is_signed(b"m", both.sign(b"m"))


@pytest.mark.parametrize("signature", [b"", b"x" * MAC_BYTES, b"x" * 64])
def test_no_other_signature_is_taken(signature: bytes) -> None:
    assert not Keyring([OLD]).is_signed(b"m", signature)


@given(st.binary(max_size=2000), st.text(max_size=20))
def test_what_is_sealed_opens_with_the_same_context_only(plain: bytes, context: str) -> None:
    keyring = Keyring([NEW, OLD])
    sealed = keyring.seal(plain, "of " + context)

    assert keyring.open(sealed, "of " + context) == plain
    assert sealed != keyring.seal(plain, "of " + context)
    with pytest.raises(SealBroken):
        keyring.open(sealed, "for " + context)


def test_an_older_key_still_opens_and_a_missing_one_is_named() -> None:
    sealed = Keyring([OLD]).seal(b"x", "c")

    assert Keyring([NEW, OLD]).open(sealed, "c") == b"x"
    with pytest.raises(SealBroken, match=sealed[:KEY_ID_BYTES].hex()):
        Keyring([NEW]).open(sealed, "c")
    assert Keyring([OLD]).knows(sealed[:KEY_ID_BYTES])
    assert not Keyring([NEW]).knows(sealed[:KEY_ID_BYTES])


@pytest.mark.parametrize("length", range(33))
def test_a_sealed_text_that_was_cut_is_broken(length: int) -> None:
    keyring = Keyring([OLD])

    with pytest.raises(SealBroken):
        keyring.open(keyring.seal(b"some", "c")[:length][:31], "c")


def test_a_sealed_text_that_was_changed_is_broken() -> None:
    keyring = Keyring([OLD])
    sealed = bytearray(keyring.seal(b"some", "c"))

    for index in range(len(sealed)):
        changed = sealed.copy()
        changed[index] ^= 1
        with pytest.raises(SealBroken):
            keyring.open(bytes(changed), "c")


def test_a_digest_depends_on_key_and_purpose() -> None:
    keyring = Keyring([NEW, OLD])

    assert keyring.digests("email", "a") == [Keyring([NEW]).digest("email", "a"), Keyring([OLD]).digest("email", "a")]
    assert keyring.digest("email", "a") == keyring.digests("email", "a")[0]
    assert len({keyring.digest("email", "a"), keyring.digest("address", "a"), keyring.digest("email", "b")}) == 3
    assert keyring.digest("email", "\ud800")


def test_a_signature_is_an_hmac_of_its_derived_key() -> None:
    secret = "a secret of sixteen"
    key = hmac.digest(secret.encode(), b"carryout tickets", "sha256")
    assert Keyring([secret]).sign(b"message") == hmac.digest(key, b"message", "sha256")[:16]
