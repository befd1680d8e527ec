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
	var fields []map[string]any
	formula := s.variants.get(VariantRequestField) == "formula"
	for i, f := range s.accountObject().fields {
		kind := typeNames[f.kind]
		if i == fieldMaster {
			kind = "reference"
		}
		fields = append(fields, map[string]any{
			"name": f.name, "label": f.name, "type": kind, "nillable": i == fieldMaster || i == fieldStaxBill,
			"calculated": formula && i == fieldStaxBill, "custom": i == fieldStaxBill, "filterable": true, "sortable": true,
		})
	}
	return jsonAnswer(http.StatusOK, map[string]any{"name": "Account", "label": "Account", "keyPrefix": accountPrefix, "queryable": true, "fields": fields})
}
