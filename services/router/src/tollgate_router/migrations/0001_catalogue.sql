-- Providers, their sealed keys, prices, and the revision that says when any of it changed.

-- One row. Every writer updates it first, so that writers take turns and readers see one number.
create table catalogue_revision (
    only_row boolean primary key default true check (only_row),
    revision bigint not null check (revision > 0)
);
insert into catalogue_revision (revision) values (1);

create table provider (
    name text primary key check (name ~ '^[a-z0-9][a-z0-9_-]{0,63}$'),
    protocol text not null check (protocol in ('openai.chat', 'anthropic.messages')),
    base_url text not null check (length(base_url) <= 512),
    enabled boolean not null default true,
    -- Revision of creation: the order of registration is the order of routes.
    create_revision bigint not null unique,
    create_unix_ms bigint not null
);

create table provider_model (
    provider text not null references provider (name),
    place int not null,
    model text not null check (length(model) between 1 and 256),
    upstream_model text not null check (length(upstream_model) between 1 and 256),
    primary key (provider, model),
    unique (provider, place)
);

create table provider_key (
    key_id text primary key check (length(key_id) between 1 and 64),
    provider text not null references provider (name),
    -- "shared" for keys that the operator owns; part of what the sealed text is bound to.
    tenant text not null check (length(tenant) between 1 and 128),
    sealed text not null check (length(sealed) between 1 and 16384),
    create_revision bigint not null unique,
    create_unix_ms bigint not null
);

-- Immutable versions; amounts in pico-USD per token.
create table price (
    model text not null check (length(model) between 1 and 256),
    version bigint not null check (version > 0),
    input_pico_usd bigint not null check (input_pico_usd >= 0),
    output_pico_usd bigint not null check (output_pico_usd >= 0),
    cache_read_pico_usd bigint not null check (cache_read_pico_usd >= 0),
    cache_write_5m_pico_usd bigint not null check (cache_write_5m_pico_usd >= 0),
    cache_write_1h_pico_usd bigint not null check (cache_write_1h_pico_usd >= 0),
    max_input_tokens bigint not null check (max_input_tokens > 0),
    max_output_tokens bigint not null check (max_output_tokens > 0),
    source text not null check (source in ('seed', 'operator')),
    long_context_tokens bigint not null check (long_context_tokens >= 0),
    long_input_pico_usd bigint not null check (long_input_pico_usd >= 0),
    long_output_pico_usd bigint not null check (long_output_pico_usd >= 0),
    long_cache_read_pico_usd bigint not null check (long_cache_read_pico_usd >= 0),
    long_cache_write_5m_pico_usd bigint not null check (long_cache_write_5m_pico_usd >= 0),
    long_cache_write_1h_pico_usd bigint not null check (long_cache_write_1h_pico_usd >= 0),
    create_unix_ms bigint not null,
    primary key (model, version)
);

create function price_is_immutable() returns trigger language plpgsql as $$
begin
    raise exception 'a price version is never changed or deleted';
end
$$;
create trigger price_is_immutable before update or delete on price
    for each row execute function price_is_immutable();

-- What each admin request answered, so that a repeat gets the same answer and changes nothing.
create table admin_request (
    request_id text primary key check (length(request_id) between 1 and 128),
    method text not null,
    -- SHA-256 of the request without its secret.
    content_sha256 bytea not null check (length(content_sha256) = 32),
    answer bytea not null,
    create_unix_ms bigint not null
);
