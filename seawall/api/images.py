"""/api/v1/images: what a registry holds now, and the deletion of an image."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Response

from seawall import shapes
from seawall.api import models
from seawall.api.deps import Admin, Limit, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.matching import tagged
from seawall.api.paging import Cursor
from seawall.core.errors import NotFound, Stale
from seawall.images import carry_out, plan, registry_of

router = APIRouter(route_class=OneHop, prefix="/api/v1/images", tags=["images"])
Registry = Annotated[str, Path(max_length=63)]
PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
Repository = Annotated[str, Path(max_length=255, pattern=rf"^{PART}(?:/{PART})*$", examples=["team/app"])]
Digest = Annotated[
    str,
    Path(pattern=r"^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$", examples=["sha256:" + "0" * 64]),
]


@router.get("", response_model=models.Page[models.ImageName])
async def images(
    service: ServiceDep,
    who: Viewer,
    registry: str,
    repository: Annotated[str | None, Query(max_length=255, pattern=rf"^{PART}(?:/{PART})*$")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Any:
    """The repositories of a registry or, with `repository`, its tags and what they name, as it tells now."""
    async with registry_of(service.config, registry) as asked:
        if repository is None:
            names, following = await asked.repositories(limit, cursor)
            found = [{"repository": name, "tag": None, "digest": None} for name in names]
        else:
            tags, following = await asked.tags(repository, limit, cursor)
            found = []
            for tag in tags:
                try:
                    digest = await asked.digest_of(repository, tag)
                except NotFound:
                    continue
                found.append({"repository": repository, "tag": tag, "digest": digest})
    return shapes.page([{"registry": registry, **it} for it in found], following)


@router.get("/{registry}/{repository:path}@{digest}", response_model=models.ImagePlan)
async def image(
    registry: Registry, repository: Repository, digest: Digest, response: Response, service: ServiceDep,
    who: Viewer,
) -> Any:  # fmt: skip
    """One image: its tags, the manifests below it, its bytes; what a deletion would take."""
    async with registry_of(service.config, registry) as asked:
        made = await plan(asked, registry, repository, digest)
    return tagged(response, {**asdict(made), "deleted": False}, made.etag)


@router.delete("/{registry}/{repository:path}@{digest}", response_model=models.ImagePlan)
async def delete(
    registry: Registry,
    repository: Repository,
    digest: Digest,
    response: Response,
    service: ServiceDep,
    who: Admin,
    preview: Annotated[bool, Query(description="Tell what would go, and change nothing")] = False,
    if_match: Annotated[
        str | None,
        Header(max_length=1000, description="The preview's ETag: 412 if anything has changed since"),
    ] = None,
) -> Any:
    """Delete an image, the tags that name it, and the manifests below it that nothing else needs. The
    registry frees the bytes when it next collects its garbage."""
    async with registry_of(service.config, registry) as asked:
        made = await plan(asked, registry, repository, digest)
        if if_match is not None and if_match not in ("*", made.etag):
            raise Stale(f"the image has changed: its ETag is {made.etag} now; look at the preview again")
        if not preview:
            await carry_out(asked, made, service.records, service.clock, who.name)
    return tagged(response, {**asdict(made), "deleted": not preview}, made.etag)
