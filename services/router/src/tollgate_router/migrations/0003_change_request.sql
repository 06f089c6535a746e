-- Requests are kept in the form that every service has (tollgate_kit.changes): what they were is one hash.
alter table admin_request rename to change_request;
update change_request set content_sha256 = sha256(
    convert_to('tollgate.router.v1.' || method || 'Request', 'UTF8') || '\x00'::bytea || content_sha256
);
alter table change_request drop column method;
