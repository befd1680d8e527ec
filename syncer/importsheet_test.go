package syncer

import "testing"

func TestManageSalesforceSheet(t *testing.T) {
	const head = "Fusebill ID,Reference,CompanyName,PrimaryEmail,SalesforceID,TargetSalesforceID\n"
	refused := func(s string) []string { return []string{"file: " + s} }
	check(t, "sheet.csv", true, []fileCase{
		{"moved while it is where the row says", head + "1,r,\"Miller, Ltd\",m@example.com," + idA + "," + idB + "\n", []string{"2 1 " + idB + " force from " + idA}},
		{"not latched: no force", head + "1,r,c,e,," + idB + "\n", []string{"2 1 " + idB}},
		{"the account of 15 characters", head + "1,r,c,e,001000000000001," + idB + "\n", []string{"2 1 " + idB + " force from " + idA}},
		{"already there", head + "1,r,c,e,001000000000001," + idA + "\n", []string{"2 skipped"}},
		{"no target", head + "1,r,c,e," + idA + ",\nx,r,c,e,x,\n", []string{"2 skipped", "3 skipped"}},
		{"clear", head + "1,r,c,e," + idA + ",Clear\n", []string{"2: clear: no call of Stax Bill's takes a latch off; use its own Manage Salesforce import for this row"}},
		{"no Account id in the row", head + "1,r,c,e,null," + idB + "\n", []string{`2: SalesforceID: "null" is no Salesforce Account id: it has 4 characters, not 15 or 18`}},
		{"no Account id as target", head + "1,r,c,e,,x\n", []string{`2: TargetSalesforceID: "x" is no Salesforce Account id: it has 1 character, not 15 or 18`}},
		{"no customer", head + "x,r,c,e,," + idB + "\n", []string{`2: Fusebill ID: "x" is no customer id: digits only, such as 93132`}},
		{"Stax Bill's newer name, any order and case", "targetsalesforceid;STAX  BILL ID;salesforceId\n" + idB + ";1;" + idA + "\n", []string{"2 1 " + idB + " force from " + idA}},
		{"cut off", head + "1,r,c,e,," + idB, []string{"2: the file may have been cut off here: end it with a newline"}},
		{"both names", "Fusebill ID,Stax Bill ID,SalesforceID,TargetSalesforceID\n", refused("it names the customer twice, as Fusebill ID and as Stax Bill ID: remove one")},
		{
			"no current account", "Fusebill ID,TargetSalesforceID\n",
			refused(`its columns are "Fusebill ID", "TargetSalesforceID"; with TargetSalesforceID it needs Fusebill ID (or Stax Bill ID) and SalesforceID`),
		},
		{
			"no customer column", "SalesforceID,TargetSalesforceID\n",
			refused(`its columns are "SalesforceID", "TargetSalesforceID"; with TargetSalesforceID it needs Fusebill ID (or Stax Bill ID) and SalesforceID`),
		},
		{"double target", "Fusebill ID,SalesforceID,TargetSalesforceID,targetsalesforceid\n", refused("the column TargetSalesforceID is there twice, as columns 3 and 4: remove one")},
		{
			"force", "Fusebill ID,SalesforceID,TargetSalesforceID,forceLatch\n",
			refused(`the column "forceLatch" has no place in a Manage Salesforce sheet, whose rows force only while the customer has their SalesforceID: remove it`),
		},
	})
}
