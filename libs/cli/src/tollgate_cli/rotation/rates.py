"""A new password for Redis, which knows both until the files say the new one."""

import secrets

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tollgate_cli.fault import Fault
from tollgate_cli.private_file import write_private
from tollgate_cli.rotation.running import Running
from tollgate_cli.suite.engines.redis import EmbeddedRedis

_TIMEOUT_S = 5


def rotate(running: Running) -> None:
    """Raises Fault. Interrupted, it may be done again: Redis then forgets all but the newest."""
    engine = EmbeddedRedis(running.home.root / "redis", port=running.port("redis"))
    password = secrets.token_urlsafe(32)
    client = redis.Redis.from_url(
        engine.url(),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        client.acl_setuser("default", enabled=True, passwords=[f"+{password}"])
        write_private(engine.password_file, password)
        engine.initialise()
        write_private(running.home.redis_url, engine.url())
        if not engine.ready():
            raise Fault("Redis does not take its new password", "do it again")
        client.acl_setuser(
            "default", enabled=True, reset_passwords=True, passwords=[f"+{password}"]
        )
    except redis.RedisError as error:
        raise Fault(f"Redis could not be asked: {type(error).__name__}", "do it again") from None
    finally:
        client.close()
