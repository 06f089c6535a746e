-- Upstreams that refuse stream_options.include_usage; a call without a report is charged by estimate.
alter table provider add column without_include_usage boolean not null default false;
