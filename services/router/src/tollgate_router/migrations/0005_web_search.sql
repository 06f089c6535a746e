-- What a search of the web costs that a vendor makes itself; 0: not priced, so not available.
alter table price add column web_search_pico_usd bigint not null default 0 check (web_search_pico_usd >= 0);
