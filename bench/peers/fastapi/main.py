"""The peer in FastAPI + asyncpg: uvicorn workers on uvloop and httptools, a pool in each (asyncpg prepares
and caches statements itself), verified tokens and their users cached for a minute; replies are JSONResponse
objects, so that nothing is validated on the way out."""

import hashlib
import json
import os
import time
from pathlib import Path
from uuid import UUID

import asyncpg
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

APP = UUID(os.environ["PEER_APP"])
ISSUER = os.environ["PEER_ISSUER"]
AUDIENCE = os.environ.get("PEER_AUDIENCE") or None
MINUTE = 60.0


def sql(name):
    return (Path(__file__).parent.parent / "sql" / f"{name}.sql").read_text()


READ, LIST, WRITE, USER = map(sql, ("read", "list", "write", "user"))
KEYS = {k.key_id: k for k in jwt.PyJWKSet.from_dict(json.loads(Path(os.environ["PEER_JWKS"]).read_text())).keys}

app = FastAPI(openapi_url=None)
pool = None
known = {}  # token -> (user, until)


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


async def current_user(request: Request):
    header = request.headers.get("authorization", "")
    hit = known.get(header)
    now = time.monotonic()
    if hit is not None and hit[1] > now:
        return hit[0]
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
    user = await pool.fetchval(USER, APP, ISSUER, claims["sub"])
    if user is None:
        raise HTTPException(401, "Unknown user")
    if len(known) > 10_000:
        known.clear()
    known[header] = (user, min(now + MINUTE, now + claims["exp"] - time.time()))
    return user


def item(row):
    return {"id": str(row["id"]), "name": row["name"], "version": row["version"],
            "created_at": row["created_at"].isoformat(), "updated_at": row["updated_at"].isoformat()}


@app.get("/health")
async def health():
    return JSONResponse({"status": "alive"})


@app.get("/api/v1/graphs/{id}")
async def graph(id: UUID, user: UUID = Depends(current_user)):
    g = await pool.fetchrow(READ, id, APP, user)
    if g is None:
        raise HTTPException(404, "Graph not found")
    return JSONResponse({"graph": {**item(g), "data": json.loads(g["data"])}})


class Save(BaseModel):
    name: str | None = None
    data: dict | None = None
    commit_message: str | None = None


@app.put("/api/v1/graphs/{id}")
async def save(id: UUID, body: Save, user: UUID = Depends(current_user)):
    text = sha256 = size = None
    if body.data is not None:
        text = json.dumps(body.data, separators=(",", ":"), ensure_ascii=False)
        raw = text.encode()
        sha256, size = hashlib.sha256(raw).digest(), len(raw)
    row = await pool.fetchrow(WRITE, id, APP, user, body.name, text, sha256, size, body.commit_message)
    if row["outcome"] == "missing":
        raise HTTPException(404, "Graph not found")
    if row["outcome"] == "denied":
        raise HTTPException(403, "Access denied")
    if row["outcome"] == "base":
        raise HTTPException(428, "Say which version was edited")
    return JSONResponse({"graph": {"id": str(id), "version": row["version"]}})


@app.get("/api/v1/workspaces/{id}/graphs")
async def graphs(id: UUID, limit: int = 50, user: UUID = Depends(current_user)):
    rows = await pool.fetch(LIST, id, APP, user, max(1, min(limit, 200)))
    if not rows:
        raise HTTPException(404, "Workspace not found")
    return JSONResponse({"graphs": [] if rows[0]["id"] is None else [item(r) for r in rows]})
