-- Tenants, groups, virtual keys, the log of what was taken away, and the requests carried out.
-- Ids sort by creation (UUIDv7), so they are compared byte by byte: COLLATE "C".

CREATE TABLE tenant (
    tenant_id      text COLLATE "C" PRIMARY KEY,
    name           text NOT NULL UNIQUE,
    enabled        boolean NOT NULL,
    create_unix_ms bigint NOT NULL
);

CREATE TABLE tenant_group (
    group_id       text COLLATE "C" PRIMARY KEY,
    tenant_id      text COLLATE "C" NOT NULL REFERENCES tenant,
    name           text NOT NULL,
    has_budget     boolean NOT NULL,
    create_unix_ms bigint NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (tenant_id, group_id) -- so that a key can only name a group of its own tenant
);

CREATE TABLE virtual_key (
    key_id                 text COLLATE "C" PRIMARY KEY,
    public_id              text COLLATE "C" NOT NULL UNIQUE,
    tenant_id              text COLLATE "C" NOT NULL REFERENCES tenant,
    group_id               text COLLATE "C",
    name                   text NOT NULL,
    environment            text NOT NULL,
    mac                    bytea NOT NULL CHECK (octet_length(mac) = 32),
    pepper_version         integer NOT NULL CHECK (pepper_version >= 1),
    allowed_models         text[] NOT NULL,
    ip_allowlist           text[] NOT NULL,
    monthly_limit_nano_usd bigint NOT NULL CHECK (monthly_limit_nano_usd >= 0),
    requests_per_minute    bigint NOT NULL CHECK (requests_per_minute >= 0),
    tokens_per_minute      bigint NOT NULL CHECK (tokens_per_minute >= 0),
    state                  text NOT NULL CHECK (state IN ('enabled', 'disabled', 'revoked')),
    expire_unix_ms         bigint,
    create_unix_ms         bigint NOT NULL,
    FOREIGN KEY (tenant_id, group_id) REFERENCES tenant_group (tenant_id, group_id)
);
CREATE INDEX virtual_key_by_tenant ON virtual_key (tenant_id, key_id);

-- One row. Its lock makes revisions gapless and visible in their order, which a sequence would not.
CREATE TABLE revision_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL CHECK (revision >= 1)
);
INSERT INTO revision_head (revision) VALUES (1);

CREATE TABLE revocation (
    revision  bigint PRIMARY KEY,
    key_id    text COLLATE "C" REFERENCES virtual_key,
    tenant_id text COLLATE "C" REFERENCES tenant,
    reason    text NOT NULL, -- the operator's words; never leaves this database
    CHECK ((key_id IS NULL) <> (tenant_id IS NULL))
);

CREATE TABLE change_request (
    request_id     text COLLATE "C" PRIMARY KEY,
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    answer         bytea NOT NULL, -- never holds a key's secret
    revision       bigint NOT NULL,
    create_unix_ms bigint NOT NULL
);
