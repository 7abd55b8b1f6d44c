//! A doubly linked list over small numbers, each in it once at most.

/// From the front, where objects arrive, to the back.
#[derive(Default)]
pub(crate) struct List {
    links: Vec<Link>,
    front: Option<u32>,
    back: Option<u32>,
}

#[derive(Clone, Copy, Default)]
struct Link {
    /// The neighbor towards the front.
    ahead: Option<u32>,
    /// The neighbor towards the back.
    behind: Option<u32>,
}

impl List {
    pub(crate) fn push_front(&mut self, id: u32) {
        let needed = id as usize + 1;
        if self.links.len() < needed {
            self.links.resize(needed, Link::default());
        }
        self.links[id as usize] = Link { ahead: None, behind: self.front };
        match self.front {
            Some(front) => self.links[front as usize].ahead = Some(id),
            None => self.back = Some(id),
        }
        self.front = Some(id);
    }

    pub(crate) fn remove(&mut self, id: u32) {
        let Link { ahead, behind } = self.links[id as usize];
        match ahead {
            Some(ahead) => self.links[ahead as usize].behind = behind,
            None => self.front = behind,
        }
        match behind {
            Some(behind) => self.links[behind as usize].ahead = ahead,
            None => self.back = ahead,
        }
    }

    pub(crate) fn back(&self) -> Option<u32> {
        self.back
    }

    /// The neighbor of `id` towards the front.
    pub(crate) fn ahead(&self, id: u32) -> Option<u32> {
        self.links[id as usize].ahead
    }
}
