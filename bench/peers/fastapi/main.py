"""The peer in FastAPI + asyncpg: uvicorn workers on uvloop and httptools, tokens verified by PyJWT, a pool in each
worker (asyncpg prepares and caches statements itself); replies are JSONResponse objects, so that nothing is
validated on the way out."""

import hashlib
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import asyncpg
import jwt
import pymemcache
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

APP = UUID(os.environ["PEER_APP"])
ISSUER = os.environ["PEER_ISSUER"]
AUDIENCE = os.environ.get("PEER_AUDIENCE") or None


def sql(name):
    return (Path(__file__).parent.parent / "sql" / f"{name}.sql").read_text()


READ, LIST, WRITE, LICENCE = map(sql, ("read", "list", "write", "licence"))
DAY_S = 86400
KEYS = {k.key_id: k for k in jwt.PyJWKSet.from_dict(json.loads(Path(os.environ["PEER_JWKS"]).read_text())).keys}

app = FastAPI(openapi_url=None)
pool = None
# Debian has no asyncio client; a call takes some 50 us, less than handing it to a thread would.
cache = pymemcache.Client(os.environ["PEER_MEMCACHED"], no_delay=True)


@app.on_event("startup")
async def start():
    global pool
    size = int(os.environ.get("PEER_POOL", "8"))
    pool = await asyncpg.create_pool(
        host=os.environ["PGHOST"], port=int(os.environ["PGPORT"]), user=os.environ["PGUSER"],
        database=os.environ["PGDATABASE"], min_size=size, max_size=size)


@app.on_event("shutdown")
async def stop():
    await pool.close()


async def subject(request: Request):
    header = request.headers.get("authorization", "")
    if not header.startswith("Bearer "):
        raise HTTPException(401, "Not authenticated")
    token = header[7:]
    try:
        key = KEYS[jwt.get_unverified_header(token)["kid"]]
        # The algorithm comes from the key, never from the token.
        algorithm = {"EC": "ES256", "RSA": "RS256"}[key.key_type]
        claims = jwt.decode(token, key.key, algorithms=[algorithm], issuer=ISSUER, audience=AUDIENCE,
                            options={"require": ["exp", "sub"], "verify_aud": AUDIENCE is not None})
    except (jwt.PyJWTError, KeyError) as e:
        raise HTTPException(401, "Invalid token") from e
    return claims["sub"]


def item(row):
    return {"id": str(row["id"]), "name": row["name"], "version": row["version"],
            "created_at": row["created_at"].isoformat(), "updated_at": row["updated_at"].isoformat()}


@app.get("/health")
async def health():
    return JSONResponse({"status": "alive"})


@app.get("/api/v1/graphs/{id}")
async def graph(id: UUID, sub: str = Depends(subject)):
    g = await pool.fetchrow(READ, id, APP, ISSUER, sub)
    if g is None:
        raise HTTPException(404, "Graph not found")
    return JSONResponse({"graph": {**item(g), "data": json.loads(g["data"])}})


class Save(BaseModel):
    name: str | None = None
    data: dict | None = None
    commit_message: str | None = None


@app.put("/api/v1/graphs/{id}")
async def save(id: UUID, body: Save, sub: str = Depends(subject)):
    text = sha256 = size = None
    if body.data is not None:
        text = json.dumps(body.data, separators=(",", ":"), ensure_ascii=False)
        raw = text.encode()
        sha256, size = hashlib.sha256(raw).digest(), len(raw)
    row = await pool.fetchrow(WRITE, id, APP, ISSUER, sub, body.name, text, sha256, size, body.commit_message)
    if row is None or row["outcome"] == "missing":
        raise HTTPException(404, "Graph not found")
    if row["outcome"] == "denied":
        raise HTTPException(403, "Access denied")
    if row["outcome"] == "base":
        raise HTTPException(428, "Say which version was edited")
    return JSONResponse({"graph": {"id": str(id), "version": row["version"]}})


@app.get("/api/v1/workspaces/{id}/graphs")
async def graphs(id: UUID, limit: int = 50, sub: str = Depends(subject)):
    rows = await pool.fetch(LIST, id, APP, ISSUER, sub, max(1, min(limit, 200)))
    if not rows:
        raise HTTPException(404, "Workspace not found")
    return JSONResponse({"graphs": [] if rows[0]["id"] is None else [item(r) for r in rows]})


class Ask(BaseModel):
    license_key: str
    machine_id: str
    version: str | None = None


@app.post("/api/v1/licenses/validate")
async def validate(body: Ask, sub: str = Depends(subject)):
    key = "license:" + hashlib.sha256(f"{body.license_key}\n{body.machine_id}".encode()).hexdigest()
    kept = cache.get(key)
    if kept is not None:
        return Response(kept, media_type="application/json")
    row = await pool.fetchrow(LICENCE, APP, body.license_key, body.machine_id)
    if row is None or not row["valid"]:
        return JSONResponse({"valid": False, "code": "NOT_FOUND" if row is None else "REFUSED"})
    answer = {
        "valid": True, "code": "VALID", "tier": row["tier"],
        "expires_at": row["expires_at"] and row["expires_at"].isoformat(),
        "features": json.loads(row["features"]), "quotas": json.loads(row["quotas"]),
        "cached_until": (datetime.now(timezone.utc) + timedelta(seconds=DAY_S)).isoformat(),
    }
    text = json.dumps(answer, separators=(",", ":"))
    cache.set(key, text, expire=DAY_S)
    return Response(text, media_type="application/json")
