"""/api/v1/playbooks."""

from typing import Any

from fastapi import APIRouter

from seawall.api import models
from seawall.api.deps import Limit, ServiceDep, Viewer
from seawall.api.hops import OneHop
from seawall.api.paging import Cursor, cut

router = APIRouter(route_class=OneHop, prefix="/api/v1", tags=["records"])


@router.get("/playbooks", response_model=models.Page[models.Playbook])
def playbooks(service: ServiceDep, who: Viewer, limit: Limit = 200, cursor: Cursor = None) -> Any:
    """The catalogue; a broken playbook is listed with its fault."""
    good = [playbook.summary_of() for playbook in service.repair.catalogue]
    bad = [{"name": fault.place, "fault": str(fault)} for fault in service.broken_playbooks]
    return cut([*good, *bad], limit, cursor)
