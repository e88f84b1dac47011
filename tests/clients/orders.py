"""Standing orders for a `weir mock`, as its tests give them."""

import json
import urllib.request


def behave(base, **orders):
    """What the mock is to do with every request from now on; nothing: answer as ever."""
    request = urllib.request.Request(f"{base}/_mock/behave", json.dumps(orders).encode(), method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def strict(answer):
    """The answer itself, once the SDK's own type has validated what came; an SDK by itself takes anything."""
    type(answer).model_validate(answer.to_dict())
    return answer


def failure(error_type, call):
    """The type, status and message of the SDK's own error that `call` ends in."""
    try:
        call()
    except error_type as error:
        status = getattr(error, "status_code", None) or getattr(error, "code", None)
        return {"type": type(error).__name__, "status": status, "message": str(error)}
    return None
