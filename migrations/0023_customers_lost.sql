-- Customers whose making Stripe never answered (CONTRACT C12, D25; SECURITY T39, F28).

-- When Stripe was first asked to make it: as long as that has no answer it may have made it.
ALTER TABLE billing_customers ADD COLUMN making_at timestamptz;
