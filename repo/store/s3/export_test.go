package s3

// SetPageSize has listings come in pages of that many keys.
func (s *Store) SetPageSize(keys int32) { s.pageSize = keys }
