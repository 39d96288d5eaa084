//! The traces of what is being asked for, from before it is stored until its row names its trace.
//!
//! A run may begin in between: on an idle session, or where the answer before it has just ended. Its row says nothing then, and this
//! says what it will. `service` announces, [`super::trace`] looks. Only for runs of this process: one that another process takes up in
//! that moment is told as if its client had said nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Runs;
use crate::ids::RunId;
use crate::trace::Parent;

/// Traces by run; as many as there are requests under way.
#[derive(Debug, Default)]
pub(super) struct Arriving(Mutex<HashMap<RunId, Parent>>);

/// A run whose trace is known here for as long as this lives.
#[derive(Debug)]
pub struct Arrival {
    runs: Arc<Runs>,
    run: RunId,
    parent: Parent,
}

impl Arriving {
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Parent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a run's query came with, if it is being stored here.
    pub(super) fn parent_of(&self, run: RunId) -> Option<Parent> {
        self.lock().get(&run).copied()
    }
}

impl Arrival {
    /// What the run's query came with.
    pub fn parent(&self) -> Parent {
        self.parent
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.runs.arriving.lock().remove(&self.run);
    }
}

impl Runs {
    /// Announces a run before it is stored. `None` where there is nothing to say of it, or nobody to tell.
    pub fn announce(self: &Arc<Self>, run: RunId, parent: Option<Parent>) -> Option<Arrival> {
        let parent = parent.filter(|_| self.context.spans.is_some())?;
        self.arriving.lock().insert(run, parent);
        Some(Arrival {
            runs: Arc::clone(self),
            run,
            parent,
        })
    }
}
