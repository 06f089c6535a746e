-- The sequenced log. Entries are only ever added; the triggers say no to everything else, also to
-- the owner of the tables. Whoever may drop triggers can still do harm, but not unseen: the
-- published log is signed and the verifier compares.

create table log_state (
    only_row boolean primary key default true check (only_row),
    size bigint not null check (size >= 0) -- entries sequenced: the next entry's log_index
);
insert into log_state (size) values (0);

create table log_published (
    only_row boolean primary key default true check (only_row),
    size bigint not null check (size >= 0) -- entries under a published checkpoint
);
insert into log_published (size) values (0);

create table producer (
    name text primary key,               -- "<certificate identity>/<random>"
    first_index bigint not null unique,  -- log_index of its first entry: its short name in entry
    last_sequence bigint not null check (last_sequence >= 1)
);

create table entry (
    log_index bigint primary key check (log_index >= 0),
    producer_index bigint not null,      -- producer.first_index
    sequence bigint not null check (sequence >= 1),
    tenant_id text not null,
    trace_id text not null,
    leaf bytea not null,                 -- canonical JSON, exactly as hashed
    unique (producer_index, sequence)
);
create index entry_by_trace on entry (tenant_id, trace_id) where trace_id <> '';

create table subject_key (
    tenant_id text primary key,
    sealed text not null                 -- deleting the row unlinks the tenant's pseudonyms
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log only grows: % on % is refused', tg_op, tg_table_name
        using errcode = 'restrict_violation';
end $$;

create function refuse_decrease() returns trigger language plpgsql as $$
begin
    if new.size < old.size then
        raise exception 'the audit log only grows: % may not shrink', tg_table_name
            using errcode = 'restrict_violation';
    end if;
    return new;
end $$;

create function refuse_rewind() returns trigger language plpgsql as $$
begin
    if new.last_sequence < old.last_sequence or new.name <> old.name
        or new.first_index <> old.first_index
    then
        raise exception 'a producer only advances' using errcode = 'restrict_violation';
    end if;
    return new;
end $$;

create trigger only_grows before update or delete or truncate on entry
    for each statement execute function refuse_change();
create trigger stays before delete or truncate on producer
    for each statement execute function refuse_change();
create trigger advances before update on producer
    for each row execute function refuse_rewind();
create trigger stays before delete or truncate on log_state
    for each statement execute function refuse_change();
create trigger only_grows before update on log_state
    for each row execute function refuse_decrease();
create trigger stays before delete or truncate on log_published
    for each statement execute function refuse_change();
create trigger only_grows before update on log_published
    for each row execute function refuse_decrease();
