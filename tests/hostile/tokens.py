"""Whom MLflow's basic-auth app asks here: besides passwords it knows a bearer token, as a gateway before it would."""

from typing import Any

TOKEN = "t0ken-of-a-gateway"  # noqa: S105 - of a server that lives for a minute


def authenticate(*arguments: Any) -> Any:
    """The admin for the token; else whoever the password says. Imported by the server alone, as it warns of itself."""
    from flask import request
    from mlflow.server.auth import authenticate_request_basic_auth
    from werkzeug.datastructures import Authorization

    if request.headers.get("Authorization") == f"Bearer {TOKEN}":
        return Authorization("basic", {"username": "admin", "password": ""})
    return authenticate_request_basic_auth(*arguments)
