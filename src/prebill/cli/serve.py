"""`prebill serve`: the API and the console in one process."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve")(serve)


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; loopback by default.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port to listen on.")] = 8400,
) -> None:
    """Serve the API and the review console until interrupted."""
    import uvicorn

    from prebill.api.app import create_app
    from prebill.bootstrap import Installation
    from prebill.settings import Settings

    installation = Installation.open(Settings.load())
    shown = f"[{host}]" if ":" in host else host
    typer.echo(f"Prebill console: http://{shown}:{port}/   API: http://{shown}:{port}/v1/")
    if host not in {"127.0.0.1", "::1", "localhost"}:
        typer.echo("Reachable from other machines: put a proxy with TLS in front of it.", err=True)
    uvicorn.run(
        create_app(installation),
        host=host,
        port=port,
        log_level="warning",
        ws="none",
        server_header=False,
    )
