-- What other ways of serving multiply the prices of tokens by, in thousandths; 0: not priced, so not available.
alter table price
    add column flex_permille bigint not null default 0 check (flex_permille >= 0),
    add column priority_permille bigint not null default 0 check (priority_permille >= 0),
    add column fast_permille bigint not null default 0 check (fast_permille >= 0),
    add column us_permille bigint not null default 0 check (us_permille >= 0);
-- What a token of sound costs, sent and answered; 0: not priced, so not available.
alter table price
    add column audio_input_pico_usd bigint not null default 0 check (audio_input_pico_usd >= 0),
    add column audio_output_pico_usd bigint not null default 0 check (audio_output_pico_usd >= 0);
-- What a container costs in which a vendor runs code for a call; 0: not priced, so not available.
alter table price add column container_pico_usd bigint not null default 0 check (container_pico_usd >= 0);
