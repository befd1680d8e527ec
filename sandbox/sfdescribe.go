package sandbox

import "net/http"

// describeGlobal lists what can be queried, in as little as clients need.
func (s *Sandbox) describeGlobal(c *call) *answer {
	root := "/services/data/v" + c.version + "/sobjects/"
	object := func(name, prefix string) map[string]any {
		return map[string]any{
			"name": name, "label": name, "keyPrefix": prefix, "queryable": true, "retrieveable": true, "replicateable": name == "Account",
			"urls": map[string]string{"sobject": root + name, "describe": root + name + "/describe"},
		}
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": []any{object("Account", accountPrefix), object("Organization", "00D")},
	})
}

// describeAccount lists the fields of Account.
func (s *Sandbox) describeAccount(*call) *answer {
	types := map[fieldType]string{typeID: "id", typeText: "string", typeBool: "boolean", typeTime: "datetime", typeNumber: "double"}
	var fields []map[string]any
	for _, f := range objects["Account"] {
		kind := types[f.kind]
		if f.name == "MasterRecordId" {
			kind = "reference"
		}
		if f.name == "Stax_Bill_Customer__c" && s.variants.get(VariantRequestField) == "number" {
			kind = "double"
		}
		fields = append(fields, map[string]any{
			"name": f.name, "label": f.name, "type": kind, "nillable": f.name == "MasterRecordId" || f.name == "Stax_Bill_Customer__c",
			"calculated": false, "custom": f.name == "Stax_Bill_Customer__c", "filterable": true, "sortable": true,
		})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"name": "Account", "label": "Account", "keyPrefix": accountPrefix, "queryable": true, "fields": fields})
}
