-- Requests are kept in the form that every service has (tollgate_kit.changes): what they were is one hash.
ALTER TABLE admin_request RENAME TO change_request;
ALTER TRIGGER admin_request_stays ON change_request RENAME TO change_request_stays;
ALTER TABLE change_request RENAME COLUMN content TO content_sha256;
ALTER TABLE change_request
  ALTER COLUMN content_sha256 TYPE bytea USING sha256(convert_to(content_sha256, 'UTF8')),
  ALTER COLUMN answer TYPE bytea USING convert_to(answer, 'UTF8');
