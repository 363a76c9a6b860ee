"""The pages for people: an index, and the documentation, all from local files."""

from importlib import resources
from pathlib import Path
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

UI: Final = Path(__file__).resolve().parent.parent / "ui"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> FileResponse:
    """The table of symbols."""
    return FileResponse(UI / "index.html")


@router.get("/portfolio")
async def portfolio() -> FileResponse:
    """The risk of a portfolio."""
    return FileResponse(UI / "portfolio.html")


@router.get("/docs")
async def docs() -> FileResponse:
    """Swagger UI over /openapi.json."""
    return FileResponse(UI / "docs.html")


def install(app: FastAPI) -> None:
    """Add the pages and their files; Swagger UI comes from the fastapi-swagger package."""
    app.include_router(router)
    swagger = resources.files("fastapi_swagger") / "resources"
    app.mount("/ui/swagger", StaticFiles(directory=str(swagger)), name="swagger")
    app.mount("/ui", StaticFiles(directory=UI), name="ui")
