from starlette.requests import Request
from starlette.responses import Response

from carryout.web.routes import NO_BODY, Declaration, Head, RateLimit, Who, route


async def _answer(_request: Request) -> Response:
    return Response()


def test_a_route_keeps_what_it_says_of_itself() -> None:
    made = route(
        "/door",
        _answer,
        methods=["GET"],
        who=Who.ANYONE,
        limit=RateLimit.NOTHING,
        body_limit_bytes=NO_BODY,
        head=Head.LIKE_GET,
    )

    assert made.declaration == Declaration(Who.ANYONE, RateLimit.NOTHING, NO_BODY, Head.LIKE_GET)
    assert (made.path, made.methods) == ("/door", {"GET", "HEAD"})
