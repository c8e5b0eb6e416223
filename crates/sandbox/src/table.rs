//! Holds the rows of one list in Clerk's order: ascending `created_at`, ties by insertion.

use std::collections::HashMap;
use std::sync::Arc;

use crate::rows::{Place, Row};

/// Ordered rows with indexes by id, by organization and by owner.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Arc<Row>>,
    places: HashMap<Arc<str>, Place>,
    by_organization: HashMap<Arc<str>, Vec<Arc<Row>>>,
    by_owner: HashMap<Arc<str>, Vec<Arc<Row>>>,
}

impl Table {
    pub(crate) fn rows(&self) -> &[Arc<Row>] {
        &self.rows
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Arc<Row>> {
        let position = position(&self.rows, *self.places.get(id)?).ok()?;
        self.rows.get(position)
    }

    pub(crate) fn of_organization(&self, id: &str) -> &[Arc<Row>] {
        self.by_organization.get(id).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_owner(&self, id: &str) -> &[Arc<Row>] {
        self.by_owner.get(id).map_or(&[], Vec::as_slice)
    }

    /// Inserts a row at its place. False if its id is taken.
    pub(crate) fn insert(&mut self, row: Row) -> bool {
        if self.places.contains_key(&row.id) {
            return false;
        }
        let row = Arc::new(row);
        self.places.insert(Arc::clone(&row.id), row.place);
        for (group, index) in
            [(&row.organization_id, &mut self.by_organization), (&row.owner_id, &mut self.by_owner)]
        {
            if let Some(id) = group {
                put(index.entry(Arc::clone(id)).or_default(), Arc::clone(&row));
            }
        }
        put(&mut self.rows, row);
        true
    }

    pub(crate) fn remove(&mut self, id: &str) -> Option<Arc<Row>> {
        let place = self.places.remove(id)?;
        let row = take(&mut self.rows, place)?;
        for (group, index) in
            [(&row.organization_id, &mut self.by_organization), (&row.owner_id, &mut self.by_owner)]
        {
            if let Some(id) = group
                && let Some(rows) = index.get_mut(id)
            {
                take(rows, place);
                if rows.is_empty() {
                    index.remove(id);
                }
            }
        }
        Some(row)
    }
}

fn position(rows: &[Arc<Row>], place: Place) -> Result<usize, usize> {
    rows.binary_search_by_key(&place, |row| row.place)
}

fn put(rows: &mut Vec<Arc<Row>>, row: Arc<Row>) {
    // Nearly every row is the newest.
    if rows.last().is_none_or(|last| last.place < row.place) {
        rows.push(row);
    } else {
        let at = position(rows, row.place).unwrap_or_else(|at| at);
        rows.insert(at, row);
    }
}

fn take(rows: &mut Vec<Arc<Row>>, place: Place) -> Option<Arc<Row>> {
    position(rows, place).ok().map(|at| rows.remove(at))
}
