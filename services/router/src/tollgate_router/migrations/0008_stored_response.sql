-- Responses that an upstream keeps, and whose they are; nothing of what they say. An id that two accounts or two
-- tenants were given is nobody's (tenant_id ''): the upstream could mean either's.
create table stored_response (
    response_id text primary key check (response_id ~ '^resp_[A-Za-z0-9_-]{1,128}$'),
    tenant_id text not null check (length(tenant_id) <= 128),
    -- The client's key, for who asks later whose call it was.
    key_id text not null check (length(key_id) <= 128),
    provider text not null check (length(provider) between 1 and 64),
    provider_key_id text not null check (length(provider_key_id) between 1 and 64),
    upstream_model text not null check (length(upstream_model) between 1 and 256),
    model text not null check (length(model) between 1 and 256),
    -- Input and output as the upstream reported them; 0: it did not, or not in a way that can be.
    context_tokens bigint not null check (context_tokens >= 0),
    create_unix_ms bigint not null,
    expire_unix_ms bigint not null
);
create index stored_response_expire on stored_response (expire_unix_ms);
