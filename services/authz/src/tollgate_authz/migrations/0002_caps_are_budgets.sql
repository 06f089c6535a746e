-- What a key or a group may spend is written down in budget alone.
ALTER TABLE virtual_key DROP COLUMN monthly_limit_nano_usd;
ALTER TABLE tenant_group DROP COLUMN has_budget;
