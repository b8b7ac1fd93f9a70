"""Who may do what to the outbox: an organization writes its own messages and sees none."""

from django.db import migrations

WALL = """
ALTER TABLE public.outbox_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.outbox_message FORCE ROW LEVEL SECURITY;

REVOKE ALL ON public.outbox_message FROM PUBLIC, ks_platform;
-- Not the columns of a message's later life: a sender cannot make a message look handled or parked.
GRANT INSERT (id, org_role, name, queue, payload, available_at)
    ON public.outbox_message TO ks_organization, ks_platform;
GRANT SELECT, UPDATE, DELETE ON public.outbox_message TO ks_relay;

CREATE POLICY outbox_message_send ON public.outbox_message FOR INSERT
    TO ks_organization, ks_platform WITH CHECK (org_role = current_user);
CREATE POLICY outbox_message_relay_reads ON public.outbox_message FOR SELECT TO ks_relay USING (true);
CREATE POLICY outbox_message_relay_updates ON public.outbox_message FOR UPDATE TO ks_relay
    USING (true) WITH CHECK (true);
CREATE POLICY outbox_message_relay_deletes ON public.outbox_message FOR DELETE TO ks_relay USING (true);
"""

UNDO = """
DROP POLICY outbox_message_relay_deletes ON public.outbox_message;
DROP POLICY outbox_message_relay_updates ON public.outbox_message;
DROP POLICY outbox_message_relay_reads ON public.outbox_message;
DROP POLICY outbox_message_send ON public.outbox_message;
REVOKE ALL ON public.outbox_message FROM ks_organization, ks_platform, ks_relay;
ALTER TABLE public.outbox_message NO FORCE ROW LEVEL SECURITY;
ALTER TABLE public.outbox_message DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [("outbox", "0001_pre_initial")]
    operations = [migrations.RunSQL(WALL, UNDO)]
