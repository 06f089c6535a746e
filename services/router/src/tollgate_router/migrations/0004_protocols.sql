-- Providers of every protocol that there is a dialect for; the service checks the word.
alter table provider drop constraint provider_protocol_check;
alter table provider add constraint provider_protocol_check
    check (protocol ~ '^[a-z0-9_]{1,32}[.][a-z0-9_]{1,32}$');
