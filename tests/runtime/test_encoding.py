"""Our JSON against that of AWS's runtime client, in this process, over whatever hypothesis thinks of."""

from collections import OrderedDict, namedtuple
from decimal import Decimal
from typing import Any

from awslambdaric.lambda_runtime_exception import FaultException as TheirFault
from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller
from hypothesis import given
from hypothesis import strategies as st

from coldspan_wrapper.runtime.encoding import decode_event, encode_response
from coldspan_wrapper.runtime.errors import FaultException

AWS = LambdaMarshaller()
Pair = namedtuple("Pair", "a b")

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.decimals(), st.complex_numbers()
)
keys = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none(), st.binary())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.dictionaries(keys, inner),
        st.dictionaries(st.text(), inner).map(OrderedDict),
    ),
    max_leaves=20,
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
)


def outcome(encode: Any, value: object, fault: type[Exception]) -> object:
    try:
        return encode(value)
    except fault as error:
        return error.exception_type, error.msg  # type: ignore[attr-defined]


@given(values)
def test_a_response_has_the_same_bytes_or_the_same_error(value: object) -> None:
    assert outcome(encode_response, value, FaultException) == outcome(AWS.marshal_response, value, TheirFault)


@given(plain)
def test_an_event_is_the_same_value(value: object) -> None:
    body = AWS.jsonEncoder.encode(value).encode()

    def ours(body: bytes) -> object:
        return repr(decode_event(body, "application/json"))

    def theirs(body: bytes) -> object:
        return repr(AWS.unmarshal_request(body))

    found, expected = outcome(ours, body, FaultException), outcome(theirs, body, TheirFault)
    if isinstance(expected, tuple):  # NaN, which is no JSON; the words differ
        assert isinstance(found, tuple)
        assert found[0] == expected[0]
    else:
        assert found == expected


def test_a_decimal_is_a_number_and_keeps_its_digits() -> None:
    assert encode_response({"price": Decimal("1.10")}) == ('{"price": 1.10}', "application/json")
