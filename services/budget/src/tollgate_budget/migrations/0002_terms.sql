-- What a reservation's amount was worked out from: the token binds it, so a repeat must say the same.
ALTER TABLE transfer
  ADD COLUMN input_tokens bigint NOT NULL DEFAULT 0 CHECK (input_tokens >= 0),
  ADD COLUMN max_output_tokens bigint NOT NULL DEFAULT 0 CHECK (max_output_tokens >= 0),
  ADD COLUMN price_version bigint NOT NULL DEFAULT 0 CHECK (price_version >= 0);

CREATE TRIGGER transfer_keeps_terms BEFORE UPDATE ON transfer FOR EACH ROW
  WHEN (
    OLD.input_tokens <> NEW.input_tokens
    OR OLD.max_output_tokens <> NEW.max_output_tokens
    OR OLD.price_version <> NEW.price_version
  )
  EXECUTE FUNCTION refuse_change();

-- An account is frozen while it is above its limit, and no longer.
UPDATE account_window SET frozen = false, ceiling_nano_usd = limit_nano_usd
WHERE frozen AND posted_nano_usd + pending_nano_usd <= limit_nano_usd;
